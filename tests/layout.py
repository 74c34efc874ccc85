"""What is wrong with the text of a page's charts, as a browser lays them out."""

FAULTS = """() => {
  const box = (node) => node.getBoundingClientRect();
  const meets = (one, other) => // or stands too close to it
    one.left - 2 < other.right && other.left - 2 < one.right &&
    one.top + 1 < other.bottom && other.top + 1 < one.bottom;
  const holds = (outer, inner, air) =>
    inner.left >= outer.left - air && inner.right <= outer.right + air &&
    inner.top >= outer.top - air && inner.bottom <= outer.bottom + air;

  // The part of a plot beyond which a curve is not drawn.
  function frameOf(svg, plot) {
    if (svg === plot) return box(plot);
    const { x, y, width, height } = svg, origin = box(plot);
    const left = origin.left + x.baseVal.value, top = origin.top + y.baseVal.value;
    return { left, top, right: left + width.baseVal.value, bottom: top + height.baseVal.value };
  }

  // The places that a curve is drawn at, found once for all texts: a browser takes long to find each.
  function placesOf(curve, plot) {
    const matrix = curve.getScreenCTM(), frame = frameOf(curve.ownerSVGElement, plot), length = curve.getTotalLength();
    const places = [];
    for (let at = 0; at <= length; at += 2) {
      const { x, y } = curve.getPointAtLength(at).matrixTransform(matrix);
      const place = { left: x, right: x, top: y, bottom: y };
      if (holds(frame, place, 0)) places.push(place);
    }
    return places;
  }

  const faults = [], curves = "path.line, line.reference";
  for (const plot of document.querySelectorAll(".chart-plot")) {
    const texts = [...plot.querySelectorAll("text")].filter((text) => text.textContent.trim());
    const places = [...plot.querySelectorAll(curves)].flatMap((curve) => placesOf(curve, plot));
    texts.forEach((text, index) => {
      const name = text.textContent, own = box(text);
      if (!holds(box(plot), own, 0.5)) faults.push(`${name} is cut off`);
      for (const other of texts.slice(index + 1)) {
        if (meets(own, box(other))) faults.push(`${name} lies on ${other.textContent}`);
      }
      if (places.some((place) => holds(own, place, -1))) faults.push(`${name} lies on a curve`);
    });
  }
  for (const element of document.querySelectorAll("main *")) {
    const isText = element.childElementCount === 0 && element.textContent.trim();
    if (isText && parseFloat(getComputedStyle(element).fontSize) < 11) faults.push(`${element.textContent} is small`);
  }
  const { scrollWidth, clientWidth } = document.documentElement;
  if (scrollWidth > clientWidth) faults.push("the page scrolls sideways");
  return faults;
}"""
"""A function for `page.evaluate`: it lists text on curves or other text, cut off, or below 11 pixels."""
