// Behaves like the published axios sample: response.data on success, error.response.data on refusal.
// Reads TICKETRY_BASE, TICKETRY_KEY and TICKETRY_CALLS (JSON: [[path, body], …]); prints one JSON line a call.
import axios from "axios";

const headers = {
  Authorization: `Bearer ${process.env.TICKETRY_KEY}`,
  "Content-Type": "application/json",
};

for (const [path, body] of JSON.parse(process.env.TICKETRY_CALLS)) {
  try {
    const response = await axios.put(`${process.env.TICKETRY_BASE}${path}`, body, { headers });
    console.log(JSON.stringify({ status: response.status, told: response.data }));
  } catch (error) {
    console.log(JSON.stringify({ status: error.response.status, told: error.response.data }));
  }
}
