"""How does a Dockerfile read? Lines to instructions, instructions to stages, `RUN` to the commands of its shell."""
