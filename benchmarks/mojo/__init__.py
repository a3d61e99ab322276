"""How fast H2O's models are scored without a JVM, beside H2O's own scorer in a JVM that is warm."""
