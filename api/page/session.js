// Who is signed in. The token comes in the address, which history, logs and screenshots keep: it is taken out at once.

const KEY = "earshot.token";

/** In the address of a link that signs in; null in any other. */
export function givenToken() {
  return new URLSearchParams(location.hash.slice(1)).get("token");
}

export function currentToken() {
  const given = givenToken();
  if (given) {
    history.replaceState(null, "", location.pathname + location.search);
    keepToken(given);
  }
  return sessionStorage.getItem(KEY);
}

export function keepToken(token) {
  sessionStorage.setItem(KEY, token);
}

export function forgetToken() {
  sessionStorage.removeItem(KEY);
}

/** The `sub` of a JWT, or null when this is none. Only the server can tell whether it is genuine. */
export function userOf(token) {
  try {
    const payload = token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/");
    const bytes = Uint8Array.from(atob(payload), (char) => char.charCodeAt(0));
    return JSON.parse(new TextDecoder().decode(bytes)).sub ?? null;
  } catch {
    return null;
  }
}
