<?php
// The same answer as the livez function.
header('Content-Type: application/json');
header('X-Request-Id: ' . $_SERVER['HTTP_X_REQUEST_ID']);
echo json_encode(['status' => 'alive']);
