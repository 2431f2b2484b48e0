"""The panels of a report, and the page that they are on."""
