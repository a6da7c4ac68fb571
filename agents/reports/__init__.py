"""Reports: figures and tables of runs, of comparisons, and of the machine."""
