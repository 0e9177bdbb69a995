"""What a session could see: how well a change of the specimen shows in an image at a dose, before anything is measured.

`features` makes specimens with and without the change, `simulated` their signals over lens and thickness, `noise` and
`observer` how well the ideal observer tells them apart, `report` the table, figure and advice.
"""
