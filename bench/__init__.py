"""What is measured and proven by hand: too long for the test suite."""
