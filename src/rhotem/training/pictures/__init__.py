"""Networks that read pictures, trained on labelled ones: loader, network, trainer."""
