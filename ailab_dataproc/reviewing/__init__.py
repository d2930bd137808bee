"""What a strict colleague says of a definition, before others use its dataset."""
