// SPDX-License-Identifier: MIT
// Looks at every picture of the page as the browser has laid it out.
"use strict";

const faults = [];
const counts = { pictures: 0, texts: 0, shapes: 0 };

// The box of what is drawn; that of a line of text is less high than its letters may be.
function box(element) {
    const all = element.getBoundingClientRect();
    const spare = element.tagName === "text" ? 1.5 : 0;
    return {
        left: all.left, right: all.right,
        top: all.top + spare, bottom: all.bottom - spare,
    };
}

function meet(a, b) {
    return a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;
}

function contains(outer, inner) {
    return outer.left <= inner.left && inner.right <= outer.right
        && outer.top <= inner.top && inner.bottom <= outer.bottom;
}

function check(picture, name) {
    const fault = (what, element) =>
        faults.push(`failed: ${name}: ${what}: ${element.outerHTML.slice(0, 150)}`);
    const texts = [...picture.querySelectorAll("text")];
    const shapes = [...picture.querySelectorAll("path, rect")];
    const outer = box(picture);
    counts.pictures += 1;
    counts.texts += texts.length;
    counts.shapes += shapes.length;
    if (texts.length === 0) {
        fault("no text", picture);
    }
    for (const element of picture.querySelectorAll("[id], [class]")) {
        fault("a name that may be taken", element);
    }
    for (const element of [...texts, ...shapes]) {
        if (!contains(outer, box(element))) {
            fault("leaves the picture", element);
        }
        if (/NaN|undefined|None|Infinity/.test(element.outerHTML)) {
            fault("no number", element);
        }
    }
    const ink = getComputedStyle(document.body).color;
    const poles = shapes.filter((shape) => /^M[\d.]+ [\d.]+V/.test(shape.getAttribute("d")));
    const taken = poles.map(box);
    texts.forEach((text, number) => {
        const place = box(text);
        if (text.textContent.trim() === "" || place.right - place.left < 3) {
            fault("nothing to read", text);
        }
        if (getComputedStyle(text).fill !== ink) {
            fault("not in the colour of the page", text);
        }
        if (texts.slice(number + 1).some((other) => meet(place, box(other)))
            || taken.some((pole) => meet(place, pole))) {
            fault("overlaps", text);
        }
    });
}

for (const section of document.querySelectorAll("section")) {
    for (const picture of section.querySelectorAll("svg")) {
        check(picture, section.querySelector("h2").textContent);
    }
}
const told = Object.entries(counts).map(([what, count]) => `${count} ${what}`).join(", ");
document.getElementById("report").textContent = [...faults, `checked: ${told}`, ""].join("\n");
