"""Where it happens: scenes, street furniture, props, and the shapes that all are made of."""
