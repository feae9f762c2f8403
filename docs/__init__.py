"""Modules that generate the tables of the documentation pages."""
