"use strict";
// Draws every picture of the report in its place.
for (const [id, [kind, options]] of Object.entries(charts.data().charts)) charts[kind](document.getElementById(id), options);
