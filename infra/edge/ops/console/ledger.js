// Verifies checkpoints and proofs in the browser, from nothing but public keys: signed notes with Ed25519
// (C2SP signed-note, tlog-checkpoint) and Merkle trees of RFC 6962. It trusts the server with nothing.

const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
const same = (a, b) => a.length === b.length && a.every((v, i) => v === b[i]);

async function node(left, right) {
  const joined = new Uint8Array(1 + left.length + right.length);
  joined[0] = 1;
  joined.set(left, 1);
  joined.set(right, 1 + left.length);
  return new Uint8Array(await crypto.subtle.digest("SHA-256", joined));
}

// open reads a checkpoint and checks its signature; it throws where none is by a known key.
export async function open(note, keys) {
  const split = note.lastIndexOf("\n\n");
  if (split < 0) throw new Error("The checkpoint is not a signed note.");
  const text = note.slice(0, split + 1);
  const [origin, size, root] = text.split("\n");
  for (const line of note.slice(split + 2).split("\n")) {
    const [, name, signature] = /^— (\S+) (\S+)$/.exec(line) ?? [];
    const key = keys.find((k) => k.name === name && same(bytes(k.id), bytes(signature ?? "").slice(0, 4)));
    if (!key) continue;
    const imported = await crypto.subtle.importKey("raw", bytes(key.key), "Ed25519", false, ["verify"]);
    if (await crypto.subtle.verify("Ed25519", imported, bytes(signature).slice(4), new TextEncoder().encode(text))) {
      return { origin, size: Number(size), root: bytes(root), note };
    }
  }
  throw new Error("No key that is known has signed this checkpoint.");
}

// known reads verifier keys: name+hash+base64(algorithm, key).
export function known(vkeys) {
  return vkeys.map((vkey) => {
    const [name, hash, ...rest] = vkey.split("+");
    const raw = bytes(rest.join("+"));
    const id = Uint8Array.from(hash.match(/../g), (pair) => parseInt(pair, 16));
    const encoded = (b) => btoa(String.fromCharCode(...b));
    return { name, id: encoded(id), key: encoded(raw.slice(1)) };
  });
}

// included checks that a leaf is in a tree (RFC 9162 §2.1.3.2).
export async function included(leaf, index, size, proof, root) {
  if (index >= size) return false;
  let [fn, sn, at] = [index, size - 1, bytes(leaf)];
  for (const text of proof) {
    const sibling = bytes(text);
    if (sn === 0) return false;
    if (fn % 2 === 1 || fn === sn) {
      at = await node(sibling, at);
      while (fn % 2 === 0 && fn !== 0) [fn, sn] = [Math.floor(fn / 2), Math.floor(sn / 2)];
    } else {
      at = await node(at, sibling);
    }
    [fn, sn] = [Math.floor(fn / 2), Math.floor(sn / 2)];
  }
  return sn === 0 && same(at, root);
}

// continues checks that the tree at then is how the tree at now began (RFC 9162 §2.1.4.2).
export async function continues(then, now, proof) {
  if (then.size === 0) return true;
  if (then.size === now.size) return same(then.root, now.root);
  if (then.size > now.size) return false;
  const path = proof.map(bytes);
  let [fn, sn] = [then.size - 1, now.size - 1];
  while (fn % 2 === 1) [fn, sn] = [Math.floor(fn / 2), Math.floor(sn / 2)];
  if (fn === 0) path.unshift(then.root); // a whole subtree: the proof leaves out what is known
  if (path.length === 0) return false;
  let [old, fresh] = [path[0], path[0]];
  for (const sibling of path.slice(1)) {
    if (sn === 0) return false;
    if (fn % 2 === 1 || fn === sn) {
      old = await node(sibling, old);
      fresh = await node(sibling, fresh);
      while (fn % 2 === 0 && fn !== 0) [fn, sn] = [Math.floor(fn / 2), Math.floor(sn / 2)];
    } else {
      fresh = await node(fresh, sibling);
    }
    [fn, sn] = [Math.floor(fn / 2), Math.floor(sn / 2)];
  }
  return sn === 0 && same(old, then.root) && same(fresh, now.root);
}
