"""Actors: bodies, gait, what they do alone and together."""
