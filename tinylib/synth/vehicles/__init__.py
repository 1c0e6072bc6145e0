"""Cars, bicycles and trailers, and what is done with them."""
