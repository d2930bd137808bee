"""The built-in datasets: the path of a module below this folder is the name of its dataset."""
