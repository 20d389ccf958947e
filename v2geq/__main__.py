"""``python -m v2geq``."""

from v2geq.cli import main

main()
