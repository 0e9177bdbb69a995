"""States of charge of a battery crystal: orderings, cells, convex hull, voltage, charges (`make.charge_series`)."""
