import { describe, expect, it } from "vitest";
import {
  countedAlready,
  describeScore,
  describeSureness,
  discShape,
  meantCandidate,
  polygonArea,
  shapeAt,
  shapesOfFaint,
  typicalArea,
  type Shape,
} from "./shapes";

function square(id: string, x: number, y: number, side: number): Shape {
  const polygon = [x, y, x + side, y, x + side, y + side, x, y + side];
  const bounds = { x1: x, y1: y, x2: x + side, y2: y + side };
  const area = side * side;
  return {
    id,
    number: 1,
    label: "",
    confidence: 1,
    probability: 1,
    rejection: "",
    source: "model",
    group: null,
    polygon,
    bounds,
    area,
  };
}

describe("how sure an object is", () => {
  const found = { ...square("a", 0, 0, 10), confidence: 0.61 };

  it("is its chance, not its score", () => {
    expect(describeSureness({ ...found, probability: 0.824 })).toBe("82 % sure");
    expect(describeScore(found)).toBe("score 61 %");
  });

  it("is never certain by a machine", () => {
    expect(describeSureness({ ...found, probability: 0.9987 })).toBe("over 99 % sure");
    expect(describeSureness({ ...found, probability: 0.99 })).toBe("99 % sure");
  });

  it("is the score where nobody measured what that is worth", () => {
    expect(describeSureness({ ...found, probability: null })).toBe("score 61 %");
  });

  it("is what a person stated", () => {
    expect(describeSureness({ ...found, source: "human", probability: 1 })).toBe("added by a person");
  });
});

describe("shapes", () => {
  it("has an area in pixels", () => {
    expect(polygonArea(square("a", 5, 5, 10).polygon)).toBe(100);
    expect(polygonArea([0, 0, 10, 0, 0, 10])).toBe(50);
    expect(polygonArea([])).toBe(0);
  });

  it("finds the smallest of nested shapes under a point", () => {
    const found = shapeAt([square("outer", 0, 0, 100), square("inner", 40, 40, 20)], { x: 50, y: 50 });
    expect(found?.id).toBe("inner");
  });

  it("tells the notch of an outline from its inside", () => {
    const notched = {
      ...square("u", 0, 0, 30),
      polygon: [0, 0, 30, 0, 30, 30, 20, 30, 20, 10, 10, 10, 10, 30, 0, 30],
    };
    expect(shapeAt([notched], { x: 15, y: 20 })).toBeNull();
    expect(shapeAt([notched], { x: 5, y: 20 })?.id).toBe("u");
  });

  it("meets a tiny object beside it, but not a large one", () => {
    expect(shapeAt([square("tiny", 10, 10, 2)], { x: 15, y: 11 }, 6)?.id).toBe("tiny");
    expect(shapeAt([square("large", 10, 10, 50)], { x: 8, y: 20 }, 6)).toBeNull();
  });

  it("means the object under a click, not a smaller one beside it", () => {
    const [ring, dot] = [square("ring", 0, 0, 20), square("dot", 22, 4, 12)];
    expect(shapeAt([ring, dot], { x: 14, y: 10 }, 12)?.id).toBe("ring");
    expect(shapeAt([ring, dot], { x: 24, y: 8 }, 12)?.id).toBe("dot");
    expect(shapeAt([dot, square("far", 50, 4, 8)], { x: 38, y: 8 }, 12)?.id).toBe("dot");
    expect(shapeAt([square("plate", 0, 0, 100), square("seed", 30, 30, 4)], { x: 36, y: 32 }, 6)?.id).toBe(
      "seed",
    );
  });

  it("makes a disc of the wanted size", () => {
    const disc = discShape("d", { x: 50, y: 50 }, 400);
    expect(polygonArea(disc.polygon)).toBeGreaterThan(380);
    expect(shapeAt([disc], { x: 50, y: 50 })?.id).toBe("d");
  });

  it("draws what was seen too faintly as circles, where nothing is counted", () => {
    const faint = [5, 90].map((x) => ({ x, y: 5, radius: 8, confidence: 0.31 }));
    const [left, ...more] = shapesOfFaint(faint, [square("a", 80, 0, 20)]);
    expect(more).toEqual([]);
    expect(left).toMatchObject({ id: "faint:0", rejection: "faint", source: "model", confidence: 0.31 });
    expect(left?.bounds).toEqual({ x1: -3, y1: -3, x2: 13, y2: 13 });
  });

  it("has the median area as the typical one", () => {
    expect(typicalArea([square("a", 0, 0, 1), square("b", 0, 0, 2), square("c", 0, 0, 9)])).toBe(4);
    expect(typicalArea([])).toBe(0);
  });

  it("refuses a second object on a single one, not on a heap", () => {
    const counted = [square("a", 0, 0, 10), square("b", 20, 0, 10), square("heap", 40, 0, 30)];
    expect(countedAlready(counted, { x: 5, y: 5 })?.id).toBe("a");
    expect(countedAlready(counted, { x: 50, y: 10 })).toBeNull();
  });

  it("means the candidate of the likeliest size", () => {
    const rejected = [
      square("whole", 0, 0, 100),
      square("like the others", 0, 0, 11),
      square("speck", 4, 4, 2),
    ];
    expect(meantCandidate(rejected, { x: 5, y: 5 }, 100)?.id).toBe("like the others");
    expect(meantCandidate(rejected, { x: 80, y: 80 }, 100)).toBeNull();
  });
});
