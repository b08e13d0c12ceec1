// rest.js: a client of the REST endpoints.
export class ResetError extends Error {
  constructor(errors, retryAfter) {
    super(errors.map((error) => error.detail).join(" "));
    this.errors = errors; // [{ code, detail, attr }]: attr is the field, or null
    this.retryAfter = retryAfter; // seconds to wait, or null
  }
}

async function post(url, data) {
  const response = await fetch(url, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(data),
  });
  const body = await response.json();
  if (!response.ok) throw new ResetError(body.errors, response.headers.get("Retry-After"));
  return body;
}

export const resetClient = (endpoint) => ({
  requestCode: (username) => post(endpoint, { username }),
  confirmReset: (username, code, password) =>
    post(`${endpoint}confirm/`, { username, confirmation_code: code, password }),
});
