import js from "@eslint/js";
import svelte from "eslint-plugin-svelte";
import globals from "globals";
import ts from "typescript-eslint";

export default ts.config(
  { ignores: ["dist/", "src/lib/api/schema.ts"] },
  js.configs.recommended,
  ts.configs.recommended,
  svelte.configs.recommended,
  { languageOptions: { globals: globals.browser } },
  {
    files: ["**/*.svelte", "**/*.svelte.ts"],
    languageOptions: { parserOptions: { parser: ts.parser } },
    // Plain <a href> is right here: the router takes over same-page clicks.
    rules: { "svelte/no-navigation-without-resolve": "off" },
  },
  // TypeScript already knows undefined names; the rule has no types.
  { files: ["**/*.ts", "**/*.svelte"], rules: { "no-undef": "off" } },
);
