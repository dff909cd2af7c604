import { expect, it } from "vitest";
import { describeRejection, reasonOf } from "./reasons";

it("describes each kind of rejection in words", () => {
  expect(describeRejection("low_score")).toBe("score too low");
  expect(describeRejection("faint")).toBe("seen too faintly");
  expect(describeRejection("duplicate_of:17")).toBe("duplicate");
  expect(describeRejection("other_type:nut")).toBe("another kind (nut)");
});

it("gives an unknown reason a name and a colour, too", () => {
  expect(reasonOf("new_kind").label).toBe("other reason");
});
