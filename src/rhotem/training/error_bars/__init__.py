"""Error bars from labels that training held out: fitted, and measured on families left out."""
