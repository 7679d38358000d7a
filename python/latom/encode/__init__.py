"""Encoding: k atoms per row. The best atoms, sparse codes, and rows made of them."""
