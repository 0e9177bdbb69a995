"""Specimens of battery papers: polycrystals, defects, interfaces, surfaces and cracks, relaxed by a potential."""
