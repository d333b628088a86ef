"""What these tests start with: real servers as processes, and a folder for them."""

from process.conftest import folder, start

__all__ = ["folder", "start"]
