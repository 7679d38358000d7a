"""Seeding: atoms are chosen rows. k-means++, AFK-MC², k-means‖, coresets and weighted draws."""
