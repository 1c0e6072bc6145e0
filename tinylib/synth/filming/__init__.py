"""The camera: projection, drawing, and what a sensor makes of it."""
