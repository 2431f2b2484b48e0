"""Labels: scenes as the rows of labels.csv, and the other way round."""
