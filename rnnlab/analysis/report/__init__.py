"""Report of a sweep as a single HTML page."""
