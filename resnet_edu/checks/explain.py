"""Used by checks that are not converted yet."""

from .result import kind_of

__all__ = ["kind_of"]
