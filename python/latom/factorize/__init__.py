"""Factorization: codes and atoms under conditions of sign. NMF, its mini-batch and batched kin, semi-NMF."""
