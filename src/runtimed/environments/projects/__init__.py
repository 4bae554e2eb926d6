"""Project files: finding the nearest, and what each kind asks for."""
