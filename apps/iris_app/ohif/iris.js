/* What the server says to a person at OHIF: why a request failed, what to mind in a result, how long to wait.
 *
 * OHIF's own files stay as they are. This script stands in the page before them, sets the server's address, and
 * listens to the plugin's requests. It writes text only, never markup, so that nothing that a server or a file says
 * can become part of the page; it needs neither inline code nor `eval`.
 */
(() => {
  "use strict";

  const home = new URL("..", document.currentScript.src);
  const ADDRESS = "MONAILABEL_SERVER_URL"; // the cookie from which the plugin takes the server's address
  const CALLS = /\/(infer|activelearning|train|datastore\/label)(\/|$)/;
  const PATIENCE = 1500; // ms before a waiting request is shown
  const POLL = 2000; // ms between two looks at the queue

  // Cookies know no ports: one of another server on this machine would be taken for this one's.
  const setAddress = () => {
    document.cookie = `${ADDRESS}=${encodeURIComponent(home.href)}; SameSite=Lax`;
  };
  setAddress();
  window.addEventListener("focus", setAddress);

  const COLORS = { error: "#7f1d1d", warning: "#78510b", waiting: "#1e3a5f" };

  const style = (element, rules) => Object.assign(element.style, rules);

  const box = () => {
    let found = document.getElementById("iris-notices");
    if (!found) {
      found = document.createElement("div");
      found.id = "iris-notices";
      style(found, {
        position: "fixed", top: "64px", left: "50%", transform: "translateX(-50%)", zIndex: "100000",
        display: "flex", flexDirection: "column", gap: "8px", width: "min(640px, 90vw)",
      });
      document.body.appendChild(found);
    }
    return found;
  };

  const button = (text, label, action) => {
    const made = document.createElement("button");
    made.textContent = text;
    made.type = "button";
    made.setAttribute("aria-label", label);
    style(made, {
      background: "transparent", color: "inherit", border: "1px solid currentColor", borderRadius: "4px",
      padding: "0 8px", cursor: "pointer", font: "inherit", flex: "none", alignSelf: "flex-start",
    });
    made.addEventListener("click", action);
    return made;
  };

  /** Shows lines of text until they are closed; gives functions that change the text and remove the notice. */
  const notice = (kind, title, lines, action) => {
    const shown = document.createElement("div");
    shown.className = `iris-notice iris-${kind}`;
    shown.setAttribute("role", kind === "error" ? "alert" : "status");
    style(shown, {
      background: COLORS[kind], color: "white", padding: "10px 12px", borderRadius: "6px", display: "flex",
      gap: "12px", font: "14px/1.4 sans-serif", boxShadow: "0 2px 12px rgba(0, 0, 0, 0.6)",
    });
    const text = document.createElement("div");
    style(text, { flex: "1", maxHeight: "40vh", overflow: "auto", overflowWrap: "anywhere" });
    const write = (sentences) => {
      text.replaceChildren();
      const head = document.createElement("strong");
      head.textContent = title;
      text.appendChild(head);
      for (const sentence of sentences) {
        const line = document.createElement("div");
        line.textContent = sentence;
        text.appendChild(line);
      }
    };
    write(lines);
    shown.appendChild(text);
    const remove = () => shown.remove();
    shown.appendChild(action || button("\u00d7", "Close", remove));
    box().appendChild(shown);
    return { write, remove };
  };

  const clear = () => document.querySelectorAll(".iris-error, .iris-warning").forEach((old) => old.remove());

  /** The server's own sentence in a failed answer, whatever form the plugin has asked for. */
  const detailOf = (request) => {
    let body;
    try {
      if (request.responseType === "arraybuffer") {
        body = JSON.parse(new TextDecoder().decode(request.response));
      } else {
        body = request.responseType === "json" ? request.response : JSON.parse(request.responseText);
      }
    } catch {
      body = null;
    }
    const detail = body && body.detail;
    if (typeof detail === "string") {
      return detail;
    }
    if (Array.isArray(detail)) {
      return detail.map((fault) => (fault && fault.msg) || "").filter(Boolean).join("; ");
    }
    return `The server answered with status ${request.status}.`;
  };

  const warningsOf = (request) => {
    try {
      const told = JSON.parse(decodeURIComponent(request.getResponseHeader("Iris-Warnings") || "[]"));
      return Array.isArray(told) ? told.map(String) : [];
    } catch {
      return [];
    }
  };

  const newName = () =>
    Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");

  const placeOf = async (name) => {
    const answer = await fetch(new URL("queue/", home));
    const queue = answer.ok ? await answer.json() : { requests: [] };
    return queue.requests.find((request) => request.id === name);
  };

  const told = (place) => {
    const turn = place.position ? `Number ${place.position} in the queue` : "The study is being computed";
    return place.eta_seconds === null ? `${turn}.` : `${turn}, about ${Math.ceil(place.eta_seconds)} s to go.`;
  };

  /** Shows how long a request will wait, with a button that leaves the queue; gives a function that ends it. */
  const follow = (name) => {
    let shown = null;
    let timer = 0;
    let ended = false;
    const leave = () => fetch(new URL(`queue/${name}`, home), { method: "DELETE" }).catch(() => {});
    const look = async () => {
      const place = await placeOf(name).catch(() => undefined);
      if (ended) {
        return;
      }
      if (place && !shown) {
        shown = notice("waiting", "Iris", [told(place)], button("Do not wait", "Leave the queue", leave));
      } else if (place) {
        shown.write([told(place)]);
      } else if (shown) {
        shown.remove();
        shown = null;
      }
      timer = setTimeout(look, POLL);
    };
    timer = setTimeout(look, PATIENCE);
    return () => {
      ended = true;
      clearTimeout(timer);
      if (shown) {
        shown.remove();
      }
    };
  };

  const watch = (request, isInfer) => {
    let end = () => {};
    let aborted = false;
    if (isInfer) {
      const name = newName();
      request.setRequestHeader("Iris-Request", name);
      request.addEventListener("loadstart", () => {
        clear();
        end = follow(name);
      });
    }
    request.addEventListener("abort", () => {
      aborted = true;
    });
    request.addEventListener("loadend", () => {
      end();
      if (aborted) {
        return;
      }
      if (request.status === 0) {
        notice("error", "Iris", ["The server did not answer."]);
      } else if (request.status >= 400) {
        notice("error", "Iris", detailOf(request).split("; ")); // one clause a line
      } else if (isInfer && warningsOf(request).length) {
        notice("warning", "Iris: check this result", warningsOf(request));
      }
    });
  };

  const open = XMLHttpRequest.prototype.open;
  XMLHttpRequest.prototype.open = function (method, url, ...rest) {
    const result = open.call(this, method, url, ...rest);
    const target = new URL(url, location.href);
    const call = target.origin === home.origin && method.toUpperCase() !== "GET" && CALLS.exec(target.pathname);
    if (call) {
      watch(this, call[1] === "infer");
    }
    return result;
  };
})();
