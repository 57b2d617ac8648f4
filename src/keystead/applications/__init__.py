"""Applications: the products that people sign in to, from the configuration and from the database."""
