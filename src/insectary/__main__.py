"""``python -m insectary`` is the same door as the ``insectary`` command."""

from insectary.cli import main

if __name__ == "__main__":
    main()
