"""Clustering: one atom per row. k-means, and the nearest of given centres."""
