// The page before one is logged in.
import { html, nothing } from "./vendor/lit-html.js";
import { logIn, user } from "./session.js";

const METHODS = {
  password: ["Password", [
    ["user", "User", { autocomplete: "username" }],
    ["domain", "Domain", { value: "Default", autocomplete: "organization" }],
    ["password", "Password", { type: "password", autocomplete: "current-password" }],
    ["passcode", "Code (TOTP), if you have one", { optional: true, autocomplete: "one-time-code", inputmode: "numeric" }],
  ]],
  application_credential: ["Application credential", [
    ["id", "Id", { autocomplete: "off" }],
    ["secret", "Secret", { type: "password", autocomplete: "off" }],
  ]],
  token: ["Token", [["token", "Token, as openstack token issue shows it", { type: "password", autocomplete: "off" }]]],
};

let method = "password";
let said = null;
let busy = false;

/** The form. `done` is called when somebody is logged in, `draw` when the form has changed. */
export function loginPage(why, done, draw) {
  if (user.refused) {
    return html`<main class="login"><h1 tabindex="-1">freezer</h1><p class="notice bad" role="alert">✗ ${user.refused}.</p></main>`;
  }
  const choose = (name) => { method = name; said = null; draw(); };
  const submit = async (event) => {
    event.preventDefault();
    const form = event.currentTarget;
    busy = true;
    draw();
    try {
      await logIn({ method, ...Object.fromEntries(new FormData(form)) });
      said = null;
      form.reset();
      done();
    } catch (error) {
      said = error.message;
    } finally {
      busy = false;
      draw();
    }
  };
  const [, fields] = METHODS[method];
  return html`<main class="login">
    <h1 tabindex="-1">freezer</h1>
    ${why ? html`<p class="notice" role="status">${why}</p>` : nothing}
    <form @submit=${submit} aria-busy=${busy}>
      <fieldset class="methods"><legend>Log in to Keystone with</legend>
        ${Object.entries(METHODS).map(([name, [label]]) => html`<label><input type="radio" name="method" value=${name} .checked=${name === method} @change=${() => choose(name)}> ${label}</label>`)}
      </fieldset>
      ${fields.map((field) => input(field))}
      ${said ? html`<p class="notice bad" role="alert">✗ ${said}.</p>` : nothing}
      <button ?disabled=${busy}>${busy ? "Logging in…" : "Log in"}</button>
    </form>
  </main>`;
}

const input = ([name, label, { type = "text", value = "", optional = false, autocomplete, inputmode = nothing }]) =>
  html`<label class="field">${label}
    <input name=${name} type=${type} value=${value} ?required=${!optional} autocomplete=${autocomplete} inputmode=${inputmode} spellcheck="false" autocapitalize="none">
  </label>`;
