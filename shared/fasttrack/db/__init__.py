"""The only SQL. One function per question, first parameter `db`; what leaves is a domain value, never a row."""

from .engine import Database, Db, connect

__all__ = ["Database", "Db", "connect"]
