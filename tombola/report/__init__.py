"""The report: tables, figures and one page, made from measurements. Nothing here trains or loads a network."""
