"""How many components: many factorizations, and what they agree on."""
