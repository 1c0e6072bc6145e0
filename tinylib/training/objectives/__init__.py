"""What a network is trained for: modules that own their networks and answer losses, one a paper's idea."""
