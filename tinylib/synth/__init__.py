"""SynthVIRAT: a procedural surveillance benchmark that stands in for VIRAT and MEVA where they are not at hand."""
