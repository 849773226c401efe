"""The whole schema: whoever imports this knows every table."""

from . import access_tables, catalog_tables, chart_tables, credential_tables
from .tables import metadata

__all__ = ["access_tables", "catalog_tables", "chart_tables", "credential_tables", "metadata"]
