"""Do the tests see? Small changes are made to a copy of the code, and each has to make a test fail."""
