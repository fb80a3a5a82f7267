"""The report: one self-contained HTML file from the tables and figures of a finished run."""
