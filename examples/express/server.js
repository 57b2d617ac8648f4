// An API whose callers show an access token of Keystead: Express, with jose.
import express from "express";

import { protectWith } from "./keystead.js";

const issuer = process.env.KEYSTEAD_URL ?? "http://127.0.0.1:3000";
const requireToken = protectWith({ issuer, audience: process.env.API_AUDIENCE ?? issuer });
const app = express();

app.get("/me", requireToken(), (request, response) => {
  response.json({ subject: request.claims.sub, roles: request.claims.roles });
});

app.get("/reports", requireToken({ roles: ["admin"] }), (_request, response) => {
  response.json({ reports: ["Greenhouse, week 12"] });
});

// What costs money asks for a sign-in within the last five minutes.
app.post("/payments", requireToken({ maxAge: 300 }), (request, response) => {
  response.json({ paid_by: request.claims.sub });
});

app.listen(process.env.PORT ?? 4000, "127.0.0.1");
