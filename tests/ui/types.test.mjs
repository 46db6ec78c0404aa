// What the compiler of TypeScript says of the page's scripts: misspelt names, wrong arguments, what is imported and not used.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { test } from "node:test";

test("the scripts are sound by their types", () => {
  const { status, stdout, stderr } = spawnSync(process.execPath, [join(process.env.FREEZER_TEST_TYPESCRIPT, "lib", "tsc.js"), "--pretty", "false", "--project", "tests/ui"], { encoding: "utf8" });
  // Of a library, which is in one line, only what its own tests say.
  const said = stdout.split("\n").filter((line) => line && !line.startsWith("web/vendor/") && !line.startsWith(" "));
  assert.deepEqual({ said, stderr }, { said: [], stderr: "" });
  assert.ok(status === 0 || stdout, `tsc ended with ${status}`);
});
