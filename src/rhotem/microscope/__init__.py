"""Optics, detectors, image simulation, dose and noise. The only room that imports abTEM, and only inside functions."""
