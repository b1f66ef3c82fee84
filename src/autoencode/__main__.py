"""``python -m autoencode``."""

from autoencode.cli import main

if __name__ == "__main__":
    main()
